//! Permissions of the backend in its namespace: one list, for the code, the manifests, and their tests.

/// A kind of object, and what is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Empty for the core group.
    pub group: &'static str,
    pub resource: &'static str,
    pub verbs: &'static [&'static str],
    /// The flag that alone makes it needed.
    pub only_with: Option<&'static str>,
    /// The server's behavior without it.
    pub otherwise: Option<&'static str>,
}

/// The group of agent-sandbox's claims, pools, and templates.
pub(super) const AGENT_SANDBOX: &str = "extensions.agents.x-k8s.io";

/// Every verb that the backend uses; nothing beyond its namespace.
pub const RULES: &[Rule] = &[
    Rule {
        group: "",
        resource: "pods",
        verbs: &[
            "create",
            "delete",
            "deletecollection",
            "list",
            "patch",
            "watch",
        ],
        only_with: None,
        otherwise: None,
    },
    Rule {
        group: "",
        resource: "pods/exec",
        // Which of both a WebSocket needs depends on the cluster's version.
        verbs: &["create", "get"],
        only_with: None,
        otherwise: None,
    },
    Rule {
        group: "",
        resource: "persistentvolumeclaims",
        verbs: &["create", "delete", "list"],
        only_with: Some("--k8s-storage-class"),
        otherwise: None,
    },
    Rule {
        group: AGENT_SANDBOX,
        resource: "sandboxclaims",
        verbs: &["create", "delete", "deletecollection", "list", "watch"],
        only_with: Some("--k8s-pool"),
        otherwise: None,
    },
    Rule {
        group: AGENT_SANDBOX,
        resource: "sandboxtemplates",
        verbs: &["get"],
        only_with: Some("--k8s-pool"),
        otherwise: None,
    },
    Rule {
        group: AGENT_SANDBOX,
        resource: "sandboxwarmpools",
        verbs: &["get"],
        only_with: Some("--k8s-pool"),
        otherwise: None,
    },
    Rule {
        group: "networking.k8s.io",
        resource: "networkpolicies",
        verbs: &["create"],
        only_with: None,
        otherwise: Some("it tries whether a policy that an administrator has made holds"),
    },
];
