//! Sets of dropped values that depend on each other, with the cost of computing them again (union-find).

/// The dropped values, joined with their neighbors.
pub struct Dropped {
    /// The node of each dropped value.
    nodes: Vec<Option<u32>>,
    parents: Vec<u32>,
    costs: Vec<f64>,
}

impl Dropped {
    /// No value of `count` is dropped.
    pub fn new(count: usize) -> Self {
        Dropped { nodes: vec![None; count], parents: Vec::new(), costs: Vec::new() }
    }

    pub fn contains(&self, value: u32) -> bool {
        self.nodes[value as usize].is_some()
    }

    /// Add a value as a set of its own.
    pub fn insert(&mut self, value: u32, cost: f64) {
        let node = self.parents.len() as u32;
        self.nodes[value as usize] = Some(node);
        self.parents.push(node);
        self.costs.push(cost);
    }

    /// Remove a value, if it is a member. What it connected stays one set, which overestimates costs a little.
    pub fn remove(&mut self, value: u32, cost: f64) {
        if let Some(set) = self.set(value) {
            self.costs[set as usize] -= cost;
            self.nodes[value as usize] = None;
        }
    }

    /// Join the sets of two dropped values.
    pub fn join(&mut self, a: u32, b: u32) {
        let (Some(a), Some(b)) = (self.set(a), self.set(b)) else { return };
        if a != b {
            self.parents[a as usize] = b;
            self.costs[b as usize] += self.costs[a as usize];
        }
    }

    /// The set of a dropped value.
    pub fn set(&self, value: u32) -> Option<u32> {
        let mut node = self.nodes[value as usize]?;
        while self.parents[node as usize] != node {
            node = self.parents[node as usize];
        }
        Some(node)
    }

    /// The cost of computing all values of a set.
    pub fn cost(&self, set: u32) -> f64 {
        self.costs[set as usize]
    }
}
