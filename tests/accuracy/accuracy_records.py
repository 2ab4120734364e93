"""Records of runs that never ran, for the tests of tables and page."""


def peer(auroc, seconds=0.5):
    return {"auroc": auroc, "auroc_mean": auroc, "seconds": seconds}


def record(trial="cpu", auroc=0.8, **others):
    return {
        "table": "t",
        "trial": trial,
        "recipe": "cpu",
        "data": "digits",
        "normal_class": 0,
        "seed": 0,
        "key": f"key of {trial}",
        "change": {},
        "normal_class_name": "0",
        "labelled_ratio": 0.05,
        "pollution_ratio": 0.1,
        "protocol": "elsa",
        "image_size": 8,
        "encoder": "resnet18",
        "scoring": "paper",
        "auroc": None if auroc is None else auroc - 0.01,
        "auroc_mean": auroc,
        "steps": 2,
        "views": 256,
        "training_flops": 3 * 10**12,
        "train_seconds": 10.0,
        "total_seconds": 20.0,
        "cpu_seconds": 25.0,
        "peers": {"isolation_forest": peer(0.75)},
        "threads": 1,
        "cpu": "a CPU",
        "load_average": 1.8,
        "devices": [],
        "torch": "2.14.1",
        "commit": "0123456789abcdef",
        "date": "2026-11-26",
        **others,
    }


def results(records, trials=("cpu", "other"), title="Some trials"):
    return {"tables": {"t": {"title": title, "trials": [*trials]}}, "runs": [*records]}
