-- What is left of a group until it is drawn anew.
SELECT g.id, count(m.holding_id) AS members FROM groups AS g LEFT JOIN members AS m ON m.group_id = g.id
WHERE g.id = :id GROUP BY g.id;
