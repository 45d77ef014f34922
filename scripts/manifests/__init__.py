"""What scripts/render is made of: building the manifests, and holding them against schemas, rules and the code."""
