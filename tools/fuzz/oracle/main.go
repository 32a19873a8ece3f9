// The oracle reads inputs with Kubernetes' and Go's own parsers, so that the fuzzer can compare.
//
// Its argument names the parser. Each line on stdin is one input in base64; for each it prints one line:
// "error" where the parser refuses the input, else what was read.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"time"

	"gopkg.in/inf.v0"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"sigs.k8s.io/yaml"
)

var parsers = map[string]func([]byte) (string, error){
	"quantity":       quantity,
	"duration":       duration,
	"label-selector": labelSelector,
	"node-selector":  nodeSelector,
	"yaml":           document,
}

var limit = inf.NewDecBig(new(big.Int).SetUint64(1<<63-1), 0)

// quantity prints the amount in billionths, held between -(2^63-1) and 2^63-1 whole units; then what Kubernetes
// makes of it in whole units, and in thousandths. Its results are of no use, and "-" is printed, for negative
// amounts (-9u comes to 1), and for those that do not fit an int64 (1E comes to 0 thousandths).
func quantity(input []byte) (string, error) {
	parsed, err := resource.ParseQuantity(string(input))
	if err != nil {
		return "", err
	}
	amount := new(inf.Dec).Set(parsed.AsDec())
	held := amount
	switch {
	case amount.Cmp(limit) >= 0:
		held = limit
	case amount.Cmp(new(inf.Dec).Neg(limit)) <= 0:
		held = new(inf.Dec).Neg(limit)
	}
	billionths := new(inf.Dec).Round(held, 9, inf.RoundUp).UnscaledBig().String()
	whole, milli := "-", "-"
	if held == amount && amount.Sign() >= 0 {
		whole = fmt.Sprint(parsed.Value())
		if new(inf.Dec).Mul(amount, inf.NewDec(1000, 0)).Cmp(limit) <= 0 {
			milli = fmt.Sprint(parsed.MilliValue())
		}
	}
	return billionths + " " + whole + " " + milli, nil
}

// duration prints nanoseconds.
func duration(input []byte) (string, error) {
	parsed, err := time.ParseDuration(string(input))
	return fmt.Sprint(int64(parsed)), err
}

// labelSelector prints whether the selector of a JSON document selects the labels beside it.
func labelSelector(input []byte) (string, error) {
	var question struct {
		Selector metav1.LabelSelector
		Labels   labels.Set
	}
	if err := json.Unmarshal(input, &question); err != nil {
		return "", err
	}
	selector, err := metav1.LabelSelectorAsSelector(&question.Selector)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(selector.Matches(question.Labels)), nil
}

// nodeSelector prints whether the selector of a JSON document selects the node beside it. A term that is not
// valid selects nothing, as in the scheduler.
func nodeSelector(input []byte) (string, error) {
	var question struct {
		Selector corev1.NodeSelector
		Name     string
		Labels   map[string]string
	}
	if err := json.Unmarshal(input, &question); err != nil {
		return "", err
	}
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: question.Name, Labels: question.Labels}}
	selected, _ := nodeaffinity.NewLazyErrorNodeSelector(&question.Selector).Match(&node)
	return fmt.Sprint(selected), nil
}

// document prints a YAML document as JSON.
func document(input []byte) (string, error) {
	converted, err := yaml.YAMLToJSONStrict(input)
	return string(converted), err
}

func read(parse func([]byte) (string, error), input []byte) (result string) {
	defer func() {
		if recover() != nil {
			result = "panic"
		}
	}()
	read, err := parse(input)
	if err != nil {
		return "error"
	}
	return read
}

func main() {
	parse, known := parsers[os.Args[1]]
	if !known {
		fmt.Fprintf(os.Stderr, "no parser %q\n", os.Args[1])
		os.Exit(2)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	answers := bufio.NewWriter(os.Stdout)
	defer answers.Flush()
	for lines.Scan() {
		input, err := base64.StdEncoding.DecodeString(lines.Text())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		fmt.Fprintln(answers, read(parse, input))
	}
}
