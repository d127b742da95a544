"""Agnostic policy learning: classes as finite sets, their capacities, access models, algorithms and hard instances.

Everything here is about one question: with no assumption but that a finite class of policies is given, how many
samples does it take to find a policy nearly as good as the best of the class (arXiv:2506.01884)?

Classes, capacities, coverage, access models and instances are names of this package. An algorithm is a function in the
module of its name: ``from pgtheory.agnostic.popler import popler``; bounds are in ``pgtheory.agnostic.bounds``.
"""

from pgtheory.lazy import door

_HOME = {
    "LayeredEvaluation": "layered_mdp",
    "LayeredMDP": "layered_mdp",
    "PolicyClass": "policy_class",
    "from_finite": "finite_layers",
    "to_finite": "finite_layers",
    "tabular": "classes",
    "open_loop": "classes",
    "tons": "classes",
    "singletons": "classes",
    "one_active": "classes",
    "all_active": "classes",
    "thresholds": "classes",
    "linear_separators": "classes",
    "from_rules": "classes",
    "littlestone_dimension": "dimensions",
    "natarajan_dimension": "dimensions",
    "vc_dimension": "dimensions",
    "SearchBudget": "search_budget",
    "LayerCapacity": "spanning",
    "SpanningCapacity": "spanning",
    "spanning_capacity": "spanning",
    "tree_bounds": "spanning",
    "DeterministicMDP": "witness",
    "draw_paths": "drawing",
    "Coverability": "coverage",
    "coverability": "coverage",
    "cumulative_reachability": "coverage",
    "concentrability": "coverage",
    "pushforward_concentrability": "coverage",
    "pushforward_coverability": "coverage",
    "realizability_gap": "conditions",
    "completeness_gap": "conditions",
    "Sunflower": "sunflower",
    "find_sunflower": "sunflower",
    "layer_core": "sunflower",
    "is_sunflower": "sunflower",
    "smallest_petals": "sunflower",
    "smallest_core": "sunflower",
    "uncovered_path": "sunflower",
    "AccessError": "access",
    "BudgetExhausted": "access",
    "Online": "access",
    "LocalSimulator": "access",
    "Generative": "access",
    "MuReset": "access",
    "HybridResets": "access",
    "Observations": "access",
    "Spent": "access",
    "ObservedMDP": "observed",
    "Replay": "replay",
    "policy_emulator": "emulator",
    "exact_psdp": "psdp",
    "exact_cpi": "cpi",
    "exact_process": "reward_process",
    "core_exploration": "uniform_exploration",
    "two_latent_lock": "instances",
    "balanced_lock": "instances",
    "error_amplifier": "instances",
    "advantage_trap": "instances",
    "hidden_arm": "instances",
    "worked_mdp": "instances",
    "special_walk": "problems",
    "context_block": "problems",
    "random_tabular": "problems",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = door(__name__, _HOME)
