"""`aviary audit`: holds every home against an oracle computed from follows and tweets; imports neither services nor views."""
