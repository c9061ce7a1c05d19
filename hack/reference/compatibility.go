// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	"github.com/wovensdn/woven/config/crd"
	"github.com/wovensdn/woven/pkg/compat"
)

const compatibilityIntroduction = "Woven has the API of Kube-OVN: kinds of the group `kubeovn.io`, their fields, and annotations and labels of objects of " +
	"Kubernetes. This page lists all of it, and whether it works. It is generated from the table that the controller uses.\n\n" +
	"| state | |\n|---|---|\n" +
	"| works | as in Kube-OVN |\n" +
	"| partly | for some values, or in some places; the note says which |\n" +
	"| not yet | it can be set, and has no effect |\n" +
	"| unused | it has no effect in Kube-OVN either |\n\n" +
	"Nothing is ignored in silence. What an object sets and does not work is reported in three ways, each of which names the field or annotation:\n\n" +
	"- a Warning event `NotSupported` of the object\n" +
	"- on Subnets, Vpcs and IPPools the condition `Supported=False`. `Ready` stays true if the object works otherwise; a Subnet with `spec.vlan`, or of a " +
	"provider whose packets OVN does not forward, is not ready\n" +
	"- a warning of the [webhook](validation.md), which `kubectl apply` shows; also for pod templates\n\n" +
	"An annotation or label with the value `\"\"`, `0` or `false` requests nothing and is not reported. Rows with the note \"written by programs\" " +
	"are results that Kube-OVN, or Woven, writes on objects; users do not set them."

func compatibilityPage(string) (string, error) {
	d := newDocument("Compatibility with Kube-OVN", compatibilityIntroduction)
	definitions, err := crd.Objects()
	if err != nil {
		return "", err
	}
	installed := map[string]bool{}
	for _, definition := range definitions {
		installed[definition.Spec.Names.Kind] = true
	}
	d.heading(2, "Kinds of kubeovn.io")
	d.addf("A kind that is not installed has no CustomResourceDefinition in `config/crd`: `kubectl apply` fails. Where the definition of an earlier " +
		"Kube-OVN is still in the cluster, each object gets the event.\n\n")
	var rows [][]string
	for _, k := range compat.Kinds {
		if k.Group != compat.Group {
			continue
		}
		in := "no"
		if installed[k.Name] {
			in = "yes"
		}
		rows = append(rows, []string{code(k.Name), string(k.State), in, k.Note})
	}
	slices.SortFunc(rows, func(a, b []string) int { return strings.Compare(strings.Trim(a[0], "`"), strings.Trim(b[0], "`")) })
	d.table([]string{"kind", "state", "installed", "note"}, rows)
	d.addf("\nConfigMaps of Kube-OVN (`ovn-vpc-nat-gw-config`, `ovn-vpc-nat-config`, `vpc-dns-config`, `ovn-external-gw-config`, `ovn-ic-config`) are not read.\n")
	for _, k := range compat.Kinds {
		if len(k.Fields)+len(k.Annotations)+len(k.Labels) == 0 {
			continue
		}
		d.heading(2, k.Name)
		compatibilityTable(d, "field", k.Fields)
		compatibilityTable(d, "annotation", k.Annotations)
		compatibilityTable(d, "label", k.Labels)
	}
	return d.String(), nil
}

// compatibilityTable adds the rows of one sort of names; no table if there are none.
func compatibilityTable(d *document, of string, list []compat.Row) {
	if len(list) == 0 {
		return
	}
	var rows [][]string
	for _, r := range list {
		note := r.Note
		if r.Written {
			note = strings.TrimSuffix("written by programs; "+note, "; ")
		}
		rows = append(rows, []string{code(strings.Replace(r.Name, "*", "<provider network>", 1)), string(r.State), note})
	}
	slices.SortFunc(rows, func(a, b []string) int { return strings.Compare(strings.Trim(a[0], "`"), strings.Trim(b[0], "`")) })
	if !strings.HasSuffix(d.String(), "\n\n") {
		d.addf("\n")
	}
	d.table([]string{of, "state", "note"}, rows)
}
