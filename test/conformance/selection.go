// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"regexp"
)

// group is a part of Kubernetes' network specs.
type group struct {
	name string
	of   *regexp.Regexp
}

var groups = []group{
	{"Conformance", regexp.MustCompile(`^\[sig-network\].*\[Conformance\]`)},
	{"NetworkPolicy", regexp.MustCompile(`^\[sig-network\] Netpol\b`)},
	{"Services", regexp.MustCompile(`^\[sig-network\] (Services|Service CIDRs|LoadBalancers|Conntrack|EndpointSlice|EndpointSliceMirroring|Proxy|Networking Granular Checks: Services)\b`)},
	{"pods", regexp.MustCompile(`^\[sig-network\] (Networking Granular Checks: Pods|Networking should|Connectivity Pod Lifecycle|NoSNAT|HostPort|DNS|DNS HostNetwork)\b`)},
	{"dual stack", regexp.MustCompile(`^\[sig-network\] \[Feature:IPv6DualStack\]`)},
}

// ofOthers are specs whose subject is another program than the network: kube-proxy, which does not run; an API server
// that runs as a pod; the ConfigMap of the cluster's DNS server.
var ofOthers = regexp.MustCompile(`kube-proxy|iptables rules|after restarting apiserver|DNS configMap`)

// subset are the specs that "make test" runs: those of Conformance, and one for each kind of NetworkPolicy.
var subset = []*regexp.Regexp{
	groups[0].of,
	regexp.MustCompile(`Netpol NetworkPolicy .* should (support a 'default-deny-all' policy|allow ingress access on one named port|` +
		`enforce except clause while egress|enforce policy based on PodSelector and NamespaceSelector|stop enforcing policies)`),
}

// selection divides the specs of a suite.
type selection struct {
	run    []string
	left   []leftOut
	others []string // for a policy suite: tests not to run
}

type leftOut struct {
	spec string
	by   *skip
}

// choose divides the specs that wanted accepts into those to run and those to skip. An entry of skips that matches none
// of the specs is an error: the spec was removed or renamed.
func choose(specs []string, skips []skip, has func(feature string) bool, wanted func(string) bool) (selection, error) {
	var chosen selection
	used := make([]bool, len(skips))
	for _, spec := range specs {
		by := -1
		for i := range skips {
			if skips[i].pattern.MatchString(spec) {
				used[i] = true
				if by < 0 && skips[i].applies(has) {
					by = i
				}
			}
		}
		switch {
		case !wanted(spec):
		case by >= 0:
			chosen.left = append(chosen.left, leftOut{spec, &skips[by]})
		default:
			chosen.run = append(chosen.run, spec)
		}
	}
	var stale []error
	for i, was := range used {
		if !was {
			stale = append(stale, fmt.Errorf("skips.yaml: no spec matches %q any more", skips[i].Specs))
		}
	}
	return chosen, errors.Join(stale...)
}

// aboutNetwork reports whether a spec of Kubernetes is in one of the groups.
func aboutNetwork(spec string) bool {
	if ofOthers.MatchString(spec) {
		return false
	}
	for _, g := range groups {
		if g.of.MatchString(spec) {
			return true
		}
	}
	return false
}

func inSubset(spec string) bool {
	for _, pattern := range subset {
		if pattern.MatchString(spec) {
			return true
		}
	}
	return false
}
