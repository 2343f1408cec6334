"""The computations of a render session and what starts them: supervisor, dispatch, mcrt, merge."""
