// SPDX-License-Identifier: Apache-2.0

package model

import (
	"cmp"
	"slices"
	"strings"
)

// Selection describes the members of one port group: ports of the pods of a group.
type Selection struct {
	Group
	// Providers of the NICs that matter, joined by commas; empty for all NICs.
	Providers string
	// Port, if it has a name, limits the selection to pods that have such a port.
	Port NamedPort
}

// NamedPort is a port of a container, as policies name it.
type NamedPort struct {
	Protocol Protocol
	Name     string
}

// Key identifies the selection.
func (s Selection) Key() string {
	return strings.Join([]string{s.Group.Key(), s.Providers, string(s.Port.Protocol), s.Port.Name}, "\x00")
}

func joined(providers []Provider) string {
	texts := make([]string, 0, len(providers))
	for _, p := range providers {
		texts = append(texts, string(p))
	}
	return strings.Join(texts, ",")
}

// HasProvider reports whether the NICs of a provider are selected. Those of one NetworkAttachmentDefinition are
// selected together.
func (s Selection) HasProvider(provider Provider) bool {
	return s.Providers == "" || slices.Contains(strings.Split(s.Providers, ","), string(provider.Network()))
}

// Selections returns what a policy selects, sorted and without duplicates.
func (p *Policy) Selections() []Selection {
	out := []Selection{p.SubjectSelection()}
	for _, r := range p.Ingress.Rules {
		for _, g := range r.Groups {
			out = append(out, Selection{Group: g})
		}
		for _, port := range r.NamedPorts() {
			out = append(out, p.Named(port)...)
		}
	}
	for _, r := range p.Egress.Rules {
		for _, g := range r.Groups {
			out = append(out, Selection{Group: g})
		}
		for _, port := range r.NamedPorts() {
			out = append(out, r.Named(port)...)
		}
	}
	slices.SortFunc(out, func(a, b Selection) int { return cmp.Compare(a.Key(), b.Key()) })
	return slices.Compact(out)
}

// SubjectSelection selects the subject of the policy.
func (p *Policy) SubjectSelection() Selection {
	return Selection{Group: p.Subject, Providers: joined(p.Providers)}
}

// NumberOf returns the number of a named port of a pod; 0 if the pod has none.
func (p *Pod) NumberOf(port NamedPort) uint16 {
	for _, have := range p.Ports {
		if have.Name == port.Name && have.Protocol == port.Protocol {
			return have.First
		}
	}
	return 0
}

// Named selects the pods of the subject that have a port of this name: the destination of connections to the subject.
func (p *Policy) Named(port NamedPort) []Selection {
	s := p.SubjectSelection()
	s.Port = port
	return []Selection{s}
}

// Named selects the pods of a rule's peers that have a port of this name. If the peers are not selected by labels, that
// may be any pod.
func (r *PolicyRule) Named(port NamedPort) []Selection {
	var out []Selection
	for _, g := range r.Groups {
		out = append(out, Selection{Group: g, Port: port})
	}
	if r.Everyone || len(r.Blocks)+len(r.Nodes) > 0 {
		out = append(out, Selection{Port: port})
	}
	return out
}

// NamedPorts returns the named ports of a rule, sorted and without duplicates.
func (r *PolicyRule) NamedPorts() []NamedPort {
	var out []NamedPort
	for _, p := range r.Ports {
		if p.Name != "" {
			out = append(out, NamedPort{p.Protocol, p.Name})
		}
	}
	slices.SortFunc(out, func(a, b NamedPort) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(out)
}
