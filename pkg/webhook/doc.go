// SPDX-License-Identifier: Apache-2.0

// Package webhook is the validating admission webhook for objects that are created, changed or deleted. The rules are
// in package model, which returns the problems of the object itself and those with other objects of the cluster. A
// fatal problem is a refusal; any other is a warning, which kubectl shows.
//
// The webhook reports problems early, and no more depends on it. It knows the cluster from the controller's watches
// ([Cluster]), with their delay, and sends no requests to the API server. An object that is stored while the webhook is
// not available gets the same messages as a condition or event.
package webhook
