// Package webhook answers the API server's question whether an object may be
// created, changed or deleted (a validating admission webhook). It decides
// nothing: package model reads the object and says what is wrong with it, and
// what in the cluster speaks against it. A problem that is fatal there is a
// refusal, another one is a warning, which kubectl shows.
//
// It is advice at the earliest moment, and no more. What the cluster has is
// known from the controller's own intake ([Cluster]), a moment late, and nothing
// is asked of the API server. An object that comes in while the webhook is away gets the same
// words as a condition or event.
package webhook
