UPDATE pairs SET relation = :relation, detail = :detail WHERE a = :a AND b = :b AND (relation <> :relation OR detail <> :detail);
