// SPDX-License-Identifier: Apache-2.0

package nbtest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// describedBy lists the columns that identify a row, for tables whose rows have no name or no unique name.
var describedBy = map[string][]string{
	"ACL":                         {"direction", "priority", "match"},
	"BFD":                         {"logical_port", "dst_ip"},
	"Chassis_Template_Var":        {"chassis"},
	"Connection":                  {"target"},
	"DHCP_Options":                {"cidr"},
	"DNS":                         {"records"},
	"HA_Chassis":                  {"chassis_name"},
	"Load_Balancer_Health_Check":  {"vip"},
	"Logical_Router_Policy":       {"priority", "match"},
	"Logical_Router_Static_Route": {"route_table", "ip_prefix", "nexthop"},
	"Meter_Band":                  {"action", "rate"},
	"NAT":                         {"type", "external_ip", "logical_ip"},
	"QoS":                         {"direction", "priority", "match"},
	"Sample":                      {"metadata"},
	"Sampling_App":                {"type"},
	"Static_MAC_Binding":          {"logical_port", "ip"},
	// OVN_Southbound
	"Datapath_Binding": {"tunnel_key"},
	"Encap":            {"type", "ip"},
	"FDB":              {"dp_key", "mac"},
	"Logical_Flow":     {"pipeline", "table_id", "priority", "match"},
	"MAC_Binding":      {"logical_port", "ip"},
	"Port_Binding":     {"logical_port"},
}

// label gives every row a name that is unique within its table.
func (d *dumper) label() {
	groups := map[[2]string][]*dumpRow{}
	for _, r := range d.rows {
		r.base, r.named = d.describe(r)
		key := [2]string{r.table, r.base}
		groups[key] = append(groups[key], r)
	}
	refined := false
	for _, group := range groups {
		if len(group) == 1 {
			group[0].label = group[0].base
			continue
		}
		if !refined {
			d.refine()
			refined = true
		}
		number(group)
	}
}

// describe returns the row's description, and whether that is its name.
func (d *dumper) describe(r *dumpRow) (base string, named bool) {
	var words []string
	for _, column := range describedBy[r.table] {
		if v, ok := r.columns[column]; ok {
			words = append(words, d.format(v, d.masked))
		}
	}
	if len(words) > 0 {
		return quote(strings.Join(words, " ")), false
	}
	if name, ok := r.columns["name"]; ok {
		return quote(name.String()), true
	}
	return "", false
}

// masked replaces UUIDs, which differ from run to run.
func (d *dumper) masked(text string) string {
	if target := d.byUUID[text]; target != nil {
		return target.table
	}
	return text
}

// number makes equal bases unique: by the rows that refer to them, then by a number.
func number(group []*dumpRow) {
	slices.SortFunc(group, func(a, b *dumpRow) int { return strings.Compare(a.color, b.color) })
	count := map[string]int{}
	for _, r := range group {
		label := r.base
		if parents := parentNames(r); parents != "" {
			label += "@" + parents
		}
		count[label]++
		if n := count[label]; n > 1 || label == "" {
			label += fmt.Sprintf("#%d", n)
		}
		r.label = label
	}
}

func parentNames(r *dumpRow) string {
	var names []string
	for _, p := range r.parents {
		name := p.row.table
		if p.row.base != "" {
			name += "/" + p.row.base
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), "+")
}

// refine gives each row a colour that depends on its content and its references, and not on UUIDs (the colour
// refinement of graph isomorphism). Rows with equal colour are interchangeable in a dump of a database like OVN's,
// whose references form shallow trees.
func (d *dumper) refine() {
	for _, r := range d.rows {
		content := r.table
		for _, column := range sortedColumns(r) {
			content += "\n" + column + "=" + d.format(r.columns[column], d.masked)
		}
		r.color = digest(content)
	}
	const depth = 4
	for range depth {
		next := make([]string, len(d.rows))
		for i, r := range d.rows {
			next[i] = digest(r.color + colors("to", r.targets) + colors("from", r.parents))
		}
		for i, r := range d.rows {
			r.color = next[i]
		}
	}
}

func colors(direction string, refs []reference) string {
	list := make([]string, 0, len(refs))
	for _, ref := range refs {
		list = append(list, direction+" "+ref.column+" "+ref.row.color)
	}
	slices.Sort(list)
	return "\n" + strings.Join(list, "\n")
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
