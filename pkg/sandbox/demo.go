// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

const demoNamespace = "demo"

// demoPort is where the demo's pods serve their host name over HTTP (agnhost netexec, path /hostname).
const demoPort = 8080

// Demo starts a pod on each of two nodes and connects from each to the other. It prints what it does and what to try
// next.
func (c *Cluster) Demo(ctx context.Context, out io.Writer) error {
	if !c.Plan().Dev {
		return errors.New("the demo needs a pod network, and this sandbox has no CNI plugin: start it with `woven-sandbox up --dev`")
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	last := min(2, c.Nodes())
	say("A pod on each of two nodes (namespace %s):", demoNamespace)
	if err := c.applyDemo(ctx, last); err != nil {
		return err
	}
	addresses := map[string]string{}
	for _, name := range []string{"demo-1", "demo-2"} {
		if _, err := c.Kubectl(ctx, "-n", demoNamespace, "wait", "--for=condition=Ready", "pod/"+name, "--timeout=60s"); err != nil {
			return err
		}
		address, err := c.Kubectl(ctx, "-n", demoNamespace, "get", "pod", name, "-o", "jsonpath={.status.podIP} on {.spec.nodeName}")
		if err != nil {
			return err
		}
		addresses[name], _, _ = strings.Cut(address, " ")
		say("  %s has %s", name, address)
	}
	for _, pair := range [][2]string{{"demo-1", "demo-2"}, {"demo-2", "demo-1"}} {
		from, to := pair[0], addresses[pair[1]]
		for _, argv := range [][]string{{"ping", "-c", "2", "-i", "0.3", "-W", "2", to}, {"curl", "-sS", "--max-time", "5", fmt.Sprintf("http://%s:%d/hostname", to, demoPort)}} {
			say("\n$ woven-sandbox kubectl -n %s exec %s -- %s", demoNamespace, from, strings.Join(argv, " "))
			answer, err := c.Kubectl(ctx, append([]string{"-n", demoNamespace, "exec", from, "--"}, argv...)...)
			if err != nil {
				return fmt.Errorf("connect from %s to %s: %w", from, pair[1], err)
			}
			say("%s", strings.TrimSpace(answer))
		}
	}
	say("\n%s", tryNext(addresses["demo-2"]))
	return nil
}

func tryNext(target string) string {
	return fmt.Sprintf(`Both reach each other. Try next:
  woven-sandbox kubectl -n %[1]s get pods -o wide
  woven-sandbox kubectl get subnets,vpcs,ips
  woven-sandbox nbctl show                          # what Woven wrote into OVN
  woven-sandbox sbctl show                          # which node holds which port
  woven-sandbox node exec 2 -- tcpdump -ni mirror0  # the traffic of node 2's pods, while in another terminal:
  woven-sandbox kubectl -n %[1]s exec demo-1 -- ping %[2]s
  woven-sandbox kubectl -n %[1]s exec demo-1 -- curl -s telnet://%[3]s:%[4]d   # as whom a pod leaves the cluster
  woven-sandbox status
  woven-sandbox down`, demoNamespace, target, OutsideAddr(false), OutsideEchoPort)
}

// applyDemo writes the demo's objects to a file in the run directory, where users can read them, and applies it.
func (c *Cluster) applyDemo(ctx context.Context, last int) error {
	objects := []map[string]any{
		{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": demoNamespace}},
		demoPod("demo-1", NodeName(1)), demoPod("demo-2", NodeName(last)),
	}
	var all []byte
	for _, object := range objects {
		raw, err := yaml.Marshal(object)
		if err != nil {
			return fmt.Errorf("encode the demo's objects: %w", err)
		}
		all = append(append(all, "---\n"...), raw...)
	}
	file := filepath.Join(c.Plan().Paths.Dir(), "demo.yaml")
	if err := os.WriteFile(file, all, 0o600); err != nil {
		return fmt.Errorf("write the demo's objects: %w", err)
	}
	_, err := c.Kubectl(ctx, "apply", "-f", file)
	return err
}

func demoPod(name, node string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name, "namespace": demoNamespace, "labels": map[string]string{"app": "demo"}},
		"spec": map[string]any{
			"nodeName": node, "terminationGracePeriodSeconds": 1,
			"containers": []map[string]any{{
				"name": "agnhost", "image": AgnhostImage, "imagePullPolicy": "IfNotPresent",
				"args":           []string{"netexec", fmt.Sprintf("--http-port=%d", demoPort)},
				"readinessProbe": map[string]any{"httpGet": map[string]any{"path": "/", "port": demoPort}, "periodSeconds": 1},
			}},
		},
	}
}
