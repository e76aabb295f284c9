"""A page in Airflow: what the OctaSpace account has running, whose it is, what it costs, and a button to stop it."""
