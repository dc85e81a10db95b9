"""Looking for the best plug-ins and parameters, by validation rows alone."""
