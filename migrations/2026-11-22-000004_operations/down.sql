DROP TABLE audit;
DROP TABLE images;
DROP TABLE workers;
