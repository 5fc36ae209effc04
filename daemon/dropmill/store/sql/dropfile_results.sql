UPDATE dropfiles SET results_bytes = :results_bytes WHERE name = :name;
