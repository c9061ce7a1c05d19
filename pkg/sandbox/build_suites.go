// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"fmt"
	"path/filepath"
)

const (
	policyModule = "sigs.k8s.io/network-policy-api"
	// policyCRDs is the experimental channel: it has all fields.
	policyCRDs = "config/crd/experimental/policy.networking.k8s.io_"
	// policyTests are the sources of the tests, which contain the names of the subtests.
	policyTests = "conformance/tests/*.go"
)

// conntrackProgram sends TCP segments outside the window. A spec checks that conntrack does not let them pass
// untranslated (github.com/kubernetes/kubernetes/issues/74839).
const conntrackProgram = "regression-issue-74839"

func noFlags(string) string { return "" }

// kubernetesSuite is the e2e suite of the Kubernetes version that the sandbox runs.
var kubernetesSuite = goProgram{
	name: "kubernetes-e2e", module: "kubernetes", requires: "k8s.io/kubernetes", expect: "e2e.test; about 3 minutes on 2 cores the first time",
	packages: []string{"github.com/onsi/ginkgo/v2/ginkgo", "k8s.io/kubernetes/test/images/" + conntrackProgram},
	tests:    map[string]string{"e2e.test": "k8s.io/kubernetes/test/e2e"},
	images:   map[string]image{conntrackProgram: {names: []string{e2eImages + conntrackProgram + ":1.4"}, entrypoint: []string{"/" + conntrackProgram}}},
	ldflags:  kubernetesVersionFlags,
}

// ClusterNetworkPolicy's suite replaced the suite of AdminNetworkPolicy and BaselineAdminNetworkPolicy, so these are
// two versions of one module.
var (
	clusterPolicySuite = goProgram{
		module: "network-policy-api", requires: policyModule, expect: "about 1 minute the first time",
		tests: map[string]string{"conformance.test": policyModule + "/conformance"},
		files: map[string]string{
			"clusternetworkpolicies.yaml": policyCRDs + "clusternetworkpolicies.yaml",
			"tests":                       policyTests,
		},
		ldflags: noFlags,
	}
	adminPolicySuite = goProgram{
		module: "admin-network-policy", requires: policyModule, expect: "about 1 minute the first time",
		tests: map[string]string{"conformance.test": policyModule + "/conformance"},
		files: map[string]string{
			"adminnetworkpolicies.yaml":         policyCRDs + "adminnetworkpolicies.yaml",
			"baselineadminnetworkpolicies.yaml": policyCRDs + "baselineadminnetworkpolicies.yaml",
			"tests":                             policyTests,
		},
		ldflags: noFlags,
	}
)

// BuildKubernetesSuite builds the e2e tests of Kubernetes unless they are in the cache. The directory has e2e.test,
// ginkgo and, as *.tar, the images that its specs need in addition to those of every node (see Cluster.ImportImages).
func BuildKubernetesSuite(ctx context.Context, home Home, source string, progress *Progress) (dir string, err error) {
	err = withBuilder(ctx, home, source, progress, func(b *builder) error {
		dir, err = b.goModule(ctx, kubernetesSuite)
		return err
	})
	return dir, err
}

// BuildPolicySuites builds the conformance suites of network-policy-api unless they are in the cache: that of
// ClusterNetworkPolicy, and that of AdminNetworkPolicy and BaselineAdminNetworkPolicy.
func BuildPolicySuites(ctx context.Context, home Home, source string, progress *Progress) (cluster, admin string, err error) {
	err = withBuilder(ctx, home, source, progress, func(b *builder) error {
		if cluster, err = b.goModule(ctx, clusterPolicySuite); err != nil {
			return err
		}
		admin, err = b.goModule(ctx, adminPolicySuite)
		return err
	})
	return cluster, admin, err
}

// ImportImages imports the images in dir (OCI archives named *.tar) on every node.
func (c *Cluster) ImportImages(ctx context.Context, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	for n := 1; n <= c.Nodes(); n++ {
		for _, file := range files {
			if _, err := c.NodeExec(ctx, n, c.state.Plan.importImage(file)...); err != nil {
				return fmt.Errorf("import %s on %s: %w", filepath.Base(file), NodeName(n), err)
			}
		}
	}
	return nil
}
