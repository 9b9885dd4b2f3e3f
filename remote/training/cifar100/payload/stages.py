"""The stages of a training, in the words of row E9. A failure names the stage in which it happened."""

INITIALIZATION = "initialization"
PARAMETER_EXTRACTION = "parameter_extraction"
PATH_SETUP = "path_setup"
ENVIRONMENT_SETUP = "environment_setup"
IMPORTS = "imports"
DATA_DIRECTORY_SETUP = "data_directory_setup"
DATA_LOADING = "data_loading"
MODEL_CREATION = "model_creation"
TRAINER_SETUP = "trainer_setup"
TRAINING = "training"
EVALUATION = "evaluation"
METRICS_CALCULATION = "metrics_calculation"
RESULTS_PREPARATION = "results_preparation"

ALL = (
    INITIALIZATION,
    PARAMETER_EXTRACTION,
    PATH_SETUP,
    ENVIRONMENT_SETUP,
    IMPORTS,
    DATA_DIRECTORY_SETUP,
    DATA_LOADING,
    MODEL_CREATION,
    TRAINER_SETUP,
    TRAINING,
    EVALUATION,
    METRICS_CALCULATION,
    RESULTS_PREPARATION,
)


class StageTracker:
    """Where the training is now. `enter` is called as the work goes on; an error handler reads `current`."""

    def __init__(self) -> None:
        self.current = INITIALIZATION

    def enter(self, stage: str) -> None:
        if stage not in ALL:
            raise ValueError(f"{stage} is not a stage. Stages: {', '.join(ALL)}")
        self.current = stage
