class Breaks: pass
