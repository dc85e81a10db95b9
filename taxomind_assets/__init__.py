"""Floor 2: the stages. Each folder holds thin Dagster assets and the pure logic behind them."""
