"""Floor 1: everything outside the pure logic. Faults, keys, settings, embedding, storage and the inbox."""
