DROP TABLE sightings;
DROP TABLE sweeps;
