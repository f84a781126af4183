"""Several real libvirt hosts on one machine, made of namespaces (see lab/README.md)."""
