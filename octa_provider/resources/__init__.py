"""The API's endpoints, one small file a resource, under the names of the official TypeScript SDK."""
