from comparators.comparing import auroc, digits, fitted, setting


def test_aug_lnl_tells_digits_apart():
    split = digits(labelled_ratio=0.2)
    chosen = setting(total_steps=14, optim={"batch_size": 64, "learning_rate": 5e-3})
    assert auroc(fitted("aug_lnl", split, chosen), split) > 0.7
