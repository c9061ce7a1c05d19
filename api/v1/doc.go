// SPDX-License-Identifier: Apache-2.0

// Package v1 holds the custom resources of group kubeovn.io, version v1:
// Vpc, Subnet, IP, IPPool, Vlan and ProviderNetwork.
//
// The API is wire-compatible with Kube-OVN's: names, JSON spelling, short
// names, printer columns and subresources are the same, so objects written for
// it apply unchanged. The comments of the fields become the descriptions that
// kubectl explain shows. The validation in the schemas (CEL, enums, patterns)
// refuses only what could never work; the rules use the IP and CIDR libraries
// of CEL and therefore need Kubernetes 1.31 or newer.
//
// Where a field holds a pair of values, one for each address family, the pair
// is written "IPv4,IPv6" in this order, without blanks. IPv6 addresses are
// compared as text and are written in lower case.
//
// The package imports apimachinery only, so that clients can use it without
// pulling in the controller's dependencies.
//
// +kubebuilder:object:generate=true
// +groupName=kubeovn.io
package v1
