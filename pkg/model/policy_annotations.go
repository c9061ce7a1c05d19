// SPDX-License-Identifier: Apache-2.0

package model

import (
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/wovensdn/woven/api/annotations"
)

// networkPolicyAnnotations reads the annotations of a NetworkPolicy. Invalid ones count as absent, except
// network_policy_for: without it the policy would apply to all NICs.
func (r *policyReader) networkPolicyAnnotations(p *Policy, all map[string]string) {
	switch text := all[annotations.PolicyEnforcement]; text {
	case "", "standard":
	case "lax":
		p.Lax = true
	default:
		r.warn(AnnotationField(annotations.PolicyEnforcement), "%s is neither standard nor lax; it is standard", quote(text))
	}
	r.policyFor(p, all[annotations.PolicyFor])
	switch text := all[annotations.EnableLog]; {
	case strings.EqualFold(text, "true"):
		p.Log = r.policyLog(all)
		if all[annotations.LogACLActions] == "" {
			p.Log.Deny = true // as with Kube-OVN
		}
	case text != "" && !strings.EqualFold(text, "false"):
		r.warn(AnnotationField(annotations.EnableLog), "%s is neither true nor false", quote(text))
	}
}

// policyLog reads which decisions are logged, and the rate limit.
func (r *policyReader) policyLog(all map[string]string) (log PolicyLog) {
	for _, action := range csv(all[annotations.LogACLActions]) {
		switch action {
		case "allow", "allow-related":
			log.Allow = true
		case "drop", "deny":
			log.Deny = true
		case "pass":
			log.Pass = true
		default:
			r.warn(AnnotationField(annotations.LogACLActions), "%s is none of allow, drop and pass", quote(action))
		}
	}
	if text := strings.TrimSpace(all[annotations.ACLLogMeterRate]); text != "" {
		rate, err := strconv.ParseInt(text, 10, 32) // a higher rate is of no use
		if err != nil || rate < 1 {
			r.warn(AnnotationField(annotations.ACLLogMeterRate), "%s is not a number of lines per second of at least 1", quote(text))
			return log
		}
		log.Rate = int(rate)
	}
	return log
}

// policyFor reads the providers of the NICs that a policy applies to: "ovn", and "<namespace>/<name>" of a
// NetworkAttachmentDefinition.
func (r *policyReader) policyFor(p *Policy, text string) {
	if text == "" {
		return
	}
	field := AnnotationField(annotations.PolicyFor)
	for token := range strings.SplitSeq(text, ",") {
		token = strings.TrimSpace(token)
		namespace, name, slash := strings.Cut(token, "/")
		switch {
		case token == "":
		case token == annotations.DefaultProvider:
			p.Providers = append(p.Providers, DefaultProvider)
		case slash && len(validation.IsDNS1123Label(namespace)) == 0 && notAName(name) == "":
			p.Providers = append(p.Providers, AttachmentProvider(name, namespace))
		default:
			r.warn(field, "%s is neither %s nor <namespace>/<name> of a NetworkAttachmentDefinition; it is ignored", quote(token), annotations.DefaultProvider)
		}
	}
	slices.Sort(p.Providers)
	if p.Providers = slices.Compact(p.Providers); len(p.Providers) == 0 {
		r.warn(field, "%s names no NIC; the policy applies to all NICs", quote(text))
	}
}
