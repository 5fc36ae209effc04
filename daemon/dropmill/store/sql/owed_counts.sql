SELECT
  (SELECT count(*) FROM publications WHERE state = 'owed') AS publications,
  (SELECT count(*) FROM publications WHERE state = 'retiring') AS retiring,
  (SELECT count(*) FROM disposals WHERE state = 'owed') AS disposals,
  (SELECT count(*) FROM notices WHERE state = 'owed') AS notices;
