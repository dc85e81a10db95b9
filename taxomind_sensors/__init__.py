"""Floor 3: sensors, schedules and jobs that rematerialise what new files touch."""
