"""avatarmake: one talking-head video in, one drivable 3D Gaussian head avatar out, stage by stage."""
