"""Printed numbers that cannot be: those of two papers, as their tables print them."""

from typing import Any

from covidseg.plan import Plan
from covidseg.tables.impossible import impossible
from covidseg.tables.kinds.results import ResultTable

# SCOAT-Net, table I: DSC, SEN, PPV, VA, RLP, RLR in percent.
LOSSES = {
    "MAE": [85.74, 84.97, 83.52, 91.78, 82.49, 84.77],
    "IoU": [88.10, 86.36, 90.47, 94.69, 92.28, 88.17],
    "BCE": [88.53, 86.85, 91.43, 94.70, 92.47, 89.93],
    "Dice": [86.79, 89.24, 85.38, 90.78, 86.77, 92.30],
    "focal": [87.73, 87.28, 87.93, 93.86, 88.18, 88.96],
    "BCE-Dice": [89.48, 88.74, 90.64, 90.64, 93.04, 91.18],
}
# Jin et al., table 1: Dice, Sen, Spec, S_alpha, E_phi, MAE of GGO, consolidation and their average.
METHODS = {
    "FCN": [
        [0.480, 0.450, 0.910, 0.582, 0.754, 0.101],
        [0.283, 0.268, 0.714, 0.554, 0.561, 0.051],
        [0.382, 0.359, 0.812, 0.568, 0.658, 0.076],
    ],
    "DeepLabv3+": [
        [0.462, 0.591, 0.912, 0.551, 0.690, 0.079],
        [0.201, 0.289, 0.685, 0.598, 0.610, 0.049],
        [0.332, 0.440, 0.799, 0.565, 0.650, 0.064],
    ],
    "U-Net": [
        [0.473, 0.530, 0.944, 0.577, 0.743, 0.098],
        [0.274, 0.302, 0.673, 0.640, 0.805, 0.048],
        [0.374, 0.416, 0.809, 0.609, 0.774, 0.073],
    ],
    "U-Net++": [
        [0.488, 0.542, 0.952, 0.580, 0.787, 0.080],
        [0.280, 0.311, 0.745, 0.615, 0.820, 0.046],
        [0.384, 0.427, 0.849, 0.598, 0.740, 0.063],
    ],
    "Attention U-Net": [
        [0.491, 0.539, 0.961, 0.576, 0.792, 0.082],
        [0.279, 0.320, 0.752, 0.597, 0.811, 0.049],
        [0.385, 0.430, 0.857, 0.587, 0.802, 0.066],
    ],
    "R2U-Net": [
        [0.410, 0.481, 0.875, 0.554, 0.716, 0.097],
        [0.193, 0.284, 0.693, 0.495, 0.554, 0.049],
        [0.302, 0.383, 0.784, 0.525, 0.635, 0.070],
    ],
    "PSPNet": [
        [0.500, 0.445, 0.945, 0.594, 0.820, 0.081],
        [0.241, 0.279, 0.687, 0.655, 0.794, 0.044],
        [0.371, 0.343, 0.816, 0.625, 0.807, 0.063],
    ],
    "MANet": [
        [0.537, 0.519, 0.969, 0.633, 0.880, 0.078],
        [0.292, 0.285, 0.743, 0.651, 0.797, 0.044],
        [0.415, 0.402, 0.849, 0.642, 0.839, 0.061],
    ],
    "Ours": [
        [0.587, 0.606, 0.963, 0.644, 0.877, 0.073],
        [0.323, 0.333, 0.759, 0.678, 0.855, 0.039],
        [0.455, 0.470, 0.861, 0.671, 0.866, 0.056],
    ],
}


def table(protocol: str, metrics: dict[str, str], rows: list[dict[str, Any]]) -> ResultTable:
    return ResultTable.model_validate({"caption": "c", "protocol": protocol, "metrics": metrics, "rows": rows})


def test_a_dice_above_the_mean_of_sensitivity_and_precision_cannot_be() -> None:
    metrics = {name: name.lower() for name in ("DSC", "SEN", "PPV", "VA", "RLP", "RLR")}
    rows = [{"label": name, "printed": values} for name, values in LOSSES.items()]
    scoat = Plan.load({}).catalogue.protocol("scoat")
    assert impossible(table("scoat", metrics, rows), scoat) == [
        "MAE: the printed DSC 85.74 is above its bound (SEN + PPV) / 2 = 84.245",
        "focal: the printed DSC 87.73 is above its bound (SEN + PPV) / 2 = 87.605",
    ]


def test_an_average_is_the_mean_of_its_classes() -> None:
    metrics = {"Dice": "dice", "Sen": "sen", "Spec": "spe", "S": "s_alpha", "E": "e_phi", "MAE": "mae"}
    rows = [
        {"label": name, "classes": dict(zip(("ggo", "consolidation", "average"), values, strict=True))}
        for name, values in METHODS.items()
    ]
    toolbox = Plan.load({}).catalogue.protocol("infnet_toolbox")
    assert impossible(table("infnet_toolbox", metrics, rows), toolbox) == [
        "DeepLabv3+: the printed average S 0.565 is not the mean of its classes, 0.5745",
        "U-Net++: the printed average E 0.74 is not the mean of its classes, 0.8035, and lies outside all of them",
        "R2U-Net: the printed average MAE 0.07 is not the mean of its classes, 0.073",
        "PSPNet: the printed average Sen 0.343 is not the mean of its classes, 0.362",
        "MANet: the printed average Spec 0.849 is not the mean of its classes, 0.856",
        "Ours: the printed average S 0.671 is not the mean of its classes, 0.661",
    ]


def test_the_papers_that_add_up_have_no_such_number() -> None:
    plan = Plan.load({"papers": ["ssanet", "infnet"]})
    for paper in ("ssanet", "infnet"):
        for shown in plan.papers[paper].tables.values():
            if isinstance(shown, ResultTable):
                assert impossible(shown, plan.catalogue.protocol(shown.protocol)) == []
