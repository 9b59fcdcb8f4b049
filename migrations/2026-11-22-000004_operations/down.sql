DROP TABLE audit;
DROP TABLE images;
DROP TABLE queue_pauses;
DROP TABLE workers;
