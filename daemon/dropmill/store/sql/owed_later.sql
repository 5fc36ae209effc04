-- How much of what is owed has been tried in vain and waits for another time.
SELECT
  (SELECT count(*) FROM publications WHERE state IN ('owed', 'retiring') AND attempts > 0)
  + (SELECT count(*) FROM disposals WHERE state = 'owed' AND attempts > 0)
  + (SELECT count(*) FROM notices WHERE state = 'owed' AND attempts > 0);
