"""The edge towards providers: the plugin contract, the HTTP seam, the registry and the servers of the twins."""
