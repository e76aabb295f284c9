"""`make demo`: an animation rendered on emulated machines, from an Airflow DAG or a Prefect flow."""
