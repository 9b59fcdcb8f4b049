DROP TABLE ready_gateways;
DROP TABLE routing;
