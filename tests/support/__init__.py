"""What tests with a real kernel and real processes share: namespaces, traffic, processes, file systems, the book."""
