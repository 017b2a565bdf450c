"""The built-in plugin for reports: forms of a comparison table, and the published numbers they are held against."""

from pathlib import Path

from bench.hookspecs import Offer, hookimpl

FORMATS = {
    "table": "Plain text for a terminal, as wide as it is.",
    "json": "A list of objects, one a table row, with every field of it.",
    "csv": "One line a row, nested values as dotted columns.",
    "markdown": "Pipe tables for a README or an issue.",
    "latex": "Tables with booktabs rules for a paper.",
    "svg": "A figure: .svg, .pdf or .png.",
    "html": "A site: rankings that sort and filter, and a page a run.",
}
MODULES = {
    **{"table": "table", "json": "data", "csv": "data", "markdown": "markdown", "latex": "latex", "svg": "svg"},
    "html": "site",
}

TABLES = Path(__file__).parent / "tables"
PUBLISHED = {
    "cpu-cells": "CIFAR-10 cells of several papers that two cores reach, in minutes (1, 2) to hours",
    "gpu-hour": "cells of several papers that an hour of a GPU is worth most for",
    "coresets-cifar10": "random images, herding and k-center on CIFAR-10",
    "random-pad": "random images as PAD evaluates them",
    "whole-datasets": "all training images of CIFAR-100 and Tiny-ImageNet",
    "dc-table": "DC: CIFAR-10, CIFAR-100, MNIST, Fashion-MNIST, SVHN",
    "dsa-table": "DSA: CIFAR-10, CIFAR-100, MNIST, Fashion-MNIST, SVHN",
    "dm-table": "DM: CIFAR-10, CIFAR-100 and Tiny-ImageNet",
    "idc-table": "IDC and IDC-I: CIFAR, SVHN, MNIST, Fashion-MNIST, ImageNet-10 and -100",
    "dream-table": "DREAM: CIFAR-10, CIFAR-100, Tiny-ImageNet",
    "mtt-table": "MTT: CIFAR-10, CIFAR-100, Tiny-ImageNet, ImageNet subsets",
    "tesla-table": "TESLA: CIFAR-10, CIFAR-100, ImageNet-1K",
    "datm-table": "DATM: CIFAR-10, CIFAR-100, Tiny-ImageNet",
    "frepo-table": "FRePo: CIFAR-10, CIFAR-100, Tiny-ImageNet, ImageNet subsets",
    "sre2l-table-2": "SRe2L, Table 2: how long and how to squeeze",
    "sre2l-table-3": "SRe2L, Table 3: how long to recover",
    "sre2l-table-4": "SRe2L, Table 4: Tiny-ImageNet and ImageNet-1K",
    "sre2l-table-5": "SRe2L, Table 5: networks across, BN-ViT among them",
    "sre2l-table-8": "SRe2L, Table 8: image priors and crops",
    "sre2l-table-9": "SRe2L, Table 9: resolutions",
    "sre2l-table-11": "SRe2L, Table 11: CIFAR-100",
    "sre2l-figure-4": "SRe2L, Figure 4: temperature of the labels, the one number that is printed",
    "sre2l-logs": "SRe2L, released logs: Tiny-ImageNet, last epoch",
    "cda": "CDA: Tiny-ImageNet and ImageNet-1K",
    "rded-table-2": "RDED, Table 2: seven datasets, three networks",
    "sc-dd": "SC-DD: CIFAR-100, Tiny-ImageNet, ImageNet-1K",
    "g-vbsm-tables": "G-VBSM: CIFAR, Tiny-ImageNet, ImageNet-1K",
    "edc-table-1": "EDC, Table 1: five datasets, four networks",
    "edc-table-2": "EDC, Table 2: networks across on ImageNet-1K",
    "cv-dd": "SRe2L++ and CV-DD",
    "fadrm": "FADRM and FADRM+",
    "delt": "DELT",
    "lpld": "LPLD: a fraction of the labels",
    "rd3": "RD3: methods under one protocol",
}


@hookimpl
def bench_report_formats() -> list[Offer]:
    """Tables, data and figures."""
    return [Offer(name, f"bench_reports.{MODULES[name]}:{name.upper()}", summary) for name, summary in FORMATS.items()]


@hookimpl
def bench_speed_tables() -> list[Offer]:
    """Tables of papers that compare costs."""
    summary = "SRe2L paper, Table 1: time and memory of a step on ConvNet-4, ResNet-18 and ResNet-50"
    return [Offer("sre2l-table-1", TABLES / "sre2l-table-1.toml", summary)]


@hookimpl
def bench_published_tables() -> list[Offer]:
    """Tables of papers that compare accuracies."""
    return [Offer(name, TABLES / f"{name}.toml", summary) for name, summary in PUBLISHED.items()]


@hookimpl
def bench_claims() -> list[Offer]:
    """Numbers from papers, repositories and issues."""
    return [Offer("published", Path(__file__).with_name("claims.csv"), "940 published numbers with their sources.")]
