"""The real world around the engine: files, processes, sockets, locks and the system's clock."""
