"""RDL2 scenes: schema, the RDLA reader and the SceneContext. Knows no renderer and no Ray."""
