// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"

	"github.com/wovensdn/woven/pkg/compat"
)

// TestConfigurationCoversTheTable: the API server calls the webhook for every object that sets something that has no
// effect, as package compat lists it.
func TestConfigurationCoversTheTable(t *testing.T) {
	file, err := os.ReadFile("../../config/webhook/configuration.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var c admissionregistrationv1.ValidatingWebhookConfiguration
	if err := yaml.UnmarshalStrict(file, &c); err != nil {
		t.Fatal(err)
	}
	resources := map[string]string{ // of Kubernetes, by kind
		"Namespace": "namespaces", "Node": "nodes", "Pod": "pods", "Service": "services", "NetworkPolicy": "networkpolicies",
		"AdminNetworkPolicy": "adminnetworkpolicies", "BaselineAdminNetworkPolicy": "baselineadminnetworkpolicies",
		"ClusterNetworkPolicy": "clusternetworkpolicies",
	}
	for _, k := range compat.Kinds {
		resource := k.Resource + resources[k.Name]
		keys := reportedKeys(k)
		if resource == "" && len(keys) == 0 {
			continue
		}
		w := webhookOf(c.Webhooks, k.Group, resource)
		if w == nil {
			t.Errorf("no webhook is called for %s", k.Name)
			continue
		}
		for _, key := range keys {
			if !calledFor(w, key) {
				t.Errorf("the webhook %s is not called for %s with %s", w.Name, k.Name, key)
			}
		}
	}
	for _, resource := range []string{"deployments", "statefulsets", "daemonsets", "jobs", "cronjobs"} {
		group := "apps"
		if strings.HasSuffix(resource, "jobs") {
			group = "batch"
		}
		w := webhookOf(c.Webhooks, group, resource)
		for _, k := range compat.Kinds {
			for _, key := range reportedKeys(k) {
				if k.Name == "Pod" && (w == nil || !calledFor(w, key)) {
					t.Errorf("no webhook is called for %s with %s", resource, key)
				}
			}
		}
	}
}

// reportedKeys lists the annotations and labels of a kind that have no effect.
func reportedKeys(k compat.Kind) (out []string) {
	for _, r := range slices.Concat(k.Annotations, k.Labels) {
		if !r.Written && (r.State == compat.NotYet || r.Values != "") {
			out = append(out, strings.NewReplacer("*", "net1", "<name>", "net1", "<namespace>", "ns1", "…", "ip_address").Replace(r.Name))
		}
	}
	return out
}

func webhookOf(all []admissionregistrationv1.ValidatingWebhook, group, resource string) *admissionregistrationv1.ValidatingWebhook {
	for i := range all {
		if slices.ContainsFunc(all[i].Rules, func(r admissionregistrationv1.RuleWithOperations) bool {
			return slices.Contains(r.APIGroups, group) && slices.Contains(r.Resources, resource) && slices.Contains(r.Operations, admissionregistrationv1.Update)
		}) {
			return &all[i]
		}
	}
	return nil
}

var (
	matched  = regexp.MustCompile(`k[.]matches[(]'([^']+)'[)]`)
	prefixed = regexp.MustCompile(`k[.]startsWith[(]'([^']+)'[)]`)
)

// calledFor reports whether a match condition of a webhook names an annotation or a label, or none is about these.
func calledFor(w *admissionregistrationv1.ValidatingWebhook, key string) bool {
	about := false
	for _, c := range w.MatchConditions {
		for _, m := range matched.FindAllStringSubmatch(c.Expression, -1) {
			if about = true; regexp.MustCompile(m[1]).MatchString(key) {
				return true
			}
		}
		for _, m := range prefixed.FindAllStringSubmatch(c.Expression, -1) {
			if about = true; strings.HasPrefix(key, m[1]) {
				return true
			}
		}
	}
	return !about
}
