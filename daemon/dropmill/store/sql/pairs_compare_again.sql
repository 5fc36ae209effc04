UPDATE pairs SET relation = '', detail = ''
WHERE (a = :image_id OR b = :image_id) AND relation = 'unknown' AND detail LIKE :detail;
