DROP TABLE firewall;
