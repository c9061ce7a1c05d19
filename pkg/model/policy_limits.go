// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"slices"
)

// Limits bound what one object of a tenant may cost in the databases and on the nodes; 0 means no limit.
type Limits struct {
	// PolicyElements is the maximum number of elements of a NetworkPolicy, see [MatchSize].
	PolicyElements int
	// ServiceBackends is the maximum number of pairs of a frontend and a backend of a Service, see [ServiceSize].
	ServiceBackends int
}

// DefaultLimits are the defaults of the controller and of the CNI server.
var DefaultLimits = Limits{PolicyElements: 20_000, ServiceBackends: 50_000}

// GroupElements is how many elements a selector counts for in each IP family. The number of its pods changes without a
// change of the policy, so the policy's cost cannot depend on it.
const GroupElements = 20

// MatchSize is the size of the remote end of a match.
type MatchSize struct {
	Everyone bool
	V4, V6   int // addresses and prefixes; a selector counts as [GroupElements]
}

// Elements returns the number of elements of a match with these ports, which bounds the flows that ovn-controller makes
// of it. Within one IP family and protocol, it combines addresses and ports by conjunctive match
// (ovs-fields(7), "conj_id"), so that they add up; each combination of a family and a protocol has flows of its own.
func (s MatchSize) Elements(ports []PolicyPort) int {
	families := []int{s.V4, s.V6}
	if s.Everyone {
		families = []int{1}
	}
	total := 0
	for _, addresses := range families {
		switch {
		case addresses == 0:
		case len(ports) == 0:
			total += addresses
		default:
			for _, n := range portElements(ports) {
				total += addresses + n
			}
		}
	}
	return total
}

// portElements returns the number of masked ports by protocol; names do not count.
func portElements(ports []PolicyPort) map[Protocol]int {
	out := map[Protocol]int{}
	for _, p := range ports {
		if p.Name == "" {
			out[p.Protocol] += maskedPorts(int(p.First), int(p.Last))
		}
	}
	return out
}

// maskedPorts is the number of aligned blocks that a range of ports consists of: OpenFlow matches ports by value and
// mask.
func maskedPorts(first, last int) (n int) {
	for first <= last {
		size := 1
		for first%(2*size) == 0 && first+2*size-1 <= last && size < 1<<16 {
			size *= 2
		}
		first += size
		n++
	}
	return n
}

// limit makes the first rule that exceeds the limit and those after it match nothing, ingress before egress: what the
// policy isolates stays isolated.
func (p *Policy) limit(elements int) []Problem {
	if elements <= 0 {
		return nil
	}
	total, from := 0, ""
	for _, side := range []struct {
		field  string
		rules  []PolicyRule
		egress bool
	}{{"spec.ingress", p.Ingress.Rules, false}, {"spec.egress", p.Egress.Rules, true}} {
		for i := range side.rules {
			rule := &side.rules[i]
			total += rule.elements(side.egress)
			if total > elements && from == "" {
				from = element(side.field, i)
			}
			if from != "" {
				rule.nothing()
			}
		}
	}
	if from == "" {
		return nil
	}
	return []Problem{TooLargePolicy(from, total, elements)}
}

// TooLargePolicy is the problem of a policy of which a rule and those after it exceed the limit.
func TooLargePolicy(from string, total, limit int) Problem {
	return Problem{Reason: ReasonPolicyTooLarge, Field: from, Message: fmt.Sprintf(
		"the policy has %d elements (addresses, selectors and ports) or more, at most %d are allowed: this rule and the ones after it allow nothing", total, limit)}
}

// elements is the number of elements of a rule, as far as it depends on the rule alone.
func (r *PolicyRule) elements(egress bool) int {
	size := r.size()
	total := 0
	if len(r.Ports) == 0 || slices.ContainsFunc(r.Ports, func(p PolicyPort) bool { return p.Name == "" }) {
		total = size.Elements(r.Ports)
	}
	return total + len(r.NamedPorts())*r.namedElements(egress)
}

// namedElements is the number of elements for one number of a named port. The destination of egress is a group of the
// pods that have the port: those of each selector, or of the blocks.
func (r *PolicyRule) namedElements(egress bool) (total int) {
	one := []PolicyPort{{First: 1, Last: 1}}
	if !egress {
		return r.size().Elements(one)
	}
	pods := MatchSize{V4: GroupElements, V6: GroupElements}.Elements(one)
	total = len(r.Groups) * (pods + 1)
	if others := (&PolicyRule{Everyone: r.Everyone, Blocks: r.Blocks, Nodes: r.Nodes}).size(); others != (MatchSize{}) {
		total += pods + others.Elements(nil)
	}
	return total
}

func (r *PolicyRule) size() MatchSize {
	groups := GroupElements * (len(r.Groups) + len(r.Nodes))
	s := MatchSize{Everyone: r.Everyone, V4: groups, V6: groups}
	for _, block := range r.Blocks {
		if n := 1 + len(block.Except); block.CIDR.Addr().Is4() {
			s.V4 += n
		} else {
			s.V6 += n
		}
	}
	return s
}
