"""The API's endpoints: one small file a resource."""
