-- The names of all renditions that are visible.
SELECT DISTINCT rendition FROM publications WHERE state = 'visible' ORDER BY rendition;
