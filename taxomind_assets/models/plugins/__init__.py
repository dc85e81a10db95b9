"""The plug-ins that ship, one module each; `registry.BUILT_IN` names them."""
