"""One sweep over exp(s / tau): the sample-to-sample and normal-to-abnormal terms."""
