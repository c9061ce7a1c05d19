// SPDX-License-Identifier: Apache-2.0

package ovnmatch

// Widths returns the fields and predicates with their width in bits; 0 for strings.
func Widths() map[string]int {
	out := map[string]int{}
	for name, s := range symbols {
		out[name] = s.width
	}
	return out
}
